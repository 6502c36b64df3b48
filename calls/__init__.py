"""`calls`, the operator's command: place calls, see what became of them, and put right what needs a person.

For people, at a terminal or in a script; never part of a function. It reads and writes through the layer's own
contracts and ledger, so that no rule is written twice.
"""
