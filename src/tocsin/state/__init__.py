"""What is read of contracts beside the journal: reads of many values at one block, and the log index.

The index (`keeper`, `indexer`, `indexfile`) says who has ever touched a position, never how much there is: logs that
were missed would make wrong sums for ever, while an account that is listed in vain costs one read. So whoever values
positions keeps to this:

* `IndexFile.accounts(with_tail=True)` are the candidates: all that were touched up to the newest followed block. The
  tail may still leave the chain; what is finalized is `accounts()`, and stays.
* Their amounts are read from the state at one agreed hash (`reader`), each time, and decide alone. An account whose
  state says nothing is left out, whatever its logs said; one is never valued by adding up events.
* `first` and `last` say which accounts changed since a block: those whose `last` is above it are read first. An index
  that is behind lists too few: `IndexFile.through` and the tail say up to which block it is complete.
* An index is a function of rules and finalized chain. Other rules are another index, built anew, not migrated.
"""
