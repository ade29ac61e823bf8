"""How we deliver: DORA's five measures, by the rules that docs/delivery.md states."""
