"""The console: a local web page over the operations, with the operator's own AWS credentials.

It listens on 127.0.0.1 only. Pages are made here, work without JavaScript, and load nothing from elsewhere.
"""
