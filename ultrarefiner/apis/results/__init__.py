"""The results page: the small files of finished runs, and the tables and pictures that are made of them alone."""
