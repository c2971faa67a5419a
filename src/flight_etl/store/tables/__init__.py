"""Tables of Iceberg and Delta that list the data files of an output. The libraries are extras, and only imported here."""
