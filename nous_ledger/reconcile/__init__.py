"""What a call's output can be measured by, and how far that measure reaches.

    jsontext   JSON read strictly, with the place of every value in its text
    visible    the text that the caller got as model output, per wire format
    labels     reported counts with the label that this measure supports

Everything here is a pure function of bytes: no I/O, no clock, no network.
"""
