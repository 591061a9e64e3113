"""`nas report`: a search as one page of HTML."""
