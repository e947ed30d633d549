"""One pass of a durable function, from its first line until it is done or blocked.

No I/O, no clock, no event loop: what must happen outside comes out as effects, what happened there
goes in as events. It knows bodies that can be resumed, not what they are made of.
"""
