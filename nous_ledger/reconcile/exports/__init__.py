"""What other systems say about calls: usage reports, invoices and logs, one reader for each.

Every reader takes lines or a document and yields `Statement`s and `RowFault`s in the
order of the file. A fault is a row that cannot be read; the rest goes on. Memory is
bounded by the longest line, and in JSON reports by the longest bucket that is read whole.

rows           what all readers yield, and how numbers and times are read
formats        the reader of each format, and how a file's format is told
lines, records  the lines of a file, and the records of a CSV file
json_reports   OpenAI's and Anthropic's usage and cost reports; json_stream: their buckets
logs           LiteLLM spend logs and Bedrock invocation logs, a JSON object per line
tables         cost tables of Google and Azure, and any CSV by a mapping
"""
