"""The files of the page; a package so that an installation brings them along."""
