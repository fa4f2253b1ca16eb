"""From files of a folder to documents: their text in blocks, headings kept."""
