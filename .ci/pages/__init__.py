"""What the pages of the documentation site are made of; ``.ci/site.py`` puts them together."""
