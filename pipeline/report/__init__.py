"""The Monthly Operating Report: what a month's KPI values say, as data.

Pure: values of the KPI store, the catalogue and the register go in, one ``Report`` comes out, the same bytes for the
same input. Rendering (HTML, PDF, Markdown, CSV), issuing and delivery stand in ``reports/``.
"""
