"""How data planes name the requests that they count: one module each. A router names its dialect."""
