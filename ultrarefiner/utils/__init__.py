"""Small helpers without a family of their own."""
