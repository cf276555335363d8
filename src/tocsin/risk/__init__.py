"""The columnar book of a market and what is computed on it: bands, critical prices, scenarios. Names no protocol. Pure.

    columns   what a leg can be at one block, exact: `Column`, `Columns`, `Band`
    factors   the same as vectors: `Factors`
    book      who holds how much: `Book`, `Legs`, `Deltas`, `apply`, `book_hash`
    health    what each account is worth and owes, and who is surely safe, surely not, or has to be looked at exactly

Floats rank, integers decide: what falls into the band goes through a protocol's own rules. The derivation of the band
is in docs/explanation/risk-core.md.
"""
