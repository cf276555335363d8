"""What a lending market comes to at one block: from rules, market, accounts and book to the sample that is decided on.

    situation   what a valuation is made of: `Situation`
    judging     exact verdicts, each asked once
    totals      exact sums of a book by column
    curve       what falls when prices do, and which prices move together
    accounts    one account in words that people understand: health, critical price, time left
    valuing     all of it: `value`
    chainvalue  the same of a revision that is not known, by what the contracts' own view function says

Pure: live, in a replay and in a backtest it is one path. Floats rank, integers decide: every number of a sample that
stands in an alert comes from a protocol's own integers.
"""
