"""Results as pages for a browser: templates, and what fills them. Used by the command and the console.

A page holds nothing from elsewhere: no script, no font, no link that the browser would load.
"""
