"""What `eval.report` is made of: tables, and pictures of rows."""
