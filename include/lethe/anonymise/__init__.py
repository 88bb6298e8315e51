"""Free text and single values, with what points at a person taken out. Pure: no I/O, no clock, no Airflow.

subject      what is known of one person
find         where a text names that person, and numbers and addresses of anybody
redact       the text with marks in their place
encoded      the same for text stored as quoted-printable, base64, RFC 2047 words or HTML
json_paths   the same for JSON documents
generalise   dates, postcodes, numbers and texts made coarser
"""
