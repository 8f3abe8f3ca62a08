"""Files that others drop, in a folder or in S3-compatible storage: read as they come, each row once, with a cursor an object."""
