"""Whether the internet works, since when not, and why.

probe ──▶ prober ──▶ detector ──▶ outage_book ──▶ tables (SQLite)
            │ one reading a slot      ▲                 │
            ▼                         │                 ▼
         sampler      checks ──▶ causes (a table)   availability
"""
