"""One reader for each layout of data sets, recognised by the files in the folder; see `readers.table`."""
