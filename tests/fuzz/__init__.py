"""Every parser against hostile input: only the documented errors may come out, in bounded time and memory.

``make fuzz`` gives each target 100,000 inputs; the gate fewer, the same ones every time.
"""
