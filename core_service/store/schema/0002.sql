-- Where a desk came from, and where its verification may start.

ALTER TABLE meta ADD COLUMN restores INTEGER NOT NULL DEFAULT 0;  -- how often it was restored
ALTER TABLE meta ADD COLUMN restored_from BLOB;                   -- the desk whose backup it was
ALTER TABLE meta ADD COLUMN restored_sequence INTEGER NOT NULL DEFAULT 0;

-- The last checkpoint: the chain value at a position, and in checkpoint_tickets the state as of it of
-- every ticket that had not ended, a TicketCheckpoint. The digest is over the chain value and the states
-- in the order of their keys.
CREATE TABLE checkpoint (
  checkpoint_key INTEGER PRIMARY KEY CHECK (checkpoint_key = 1),
  sequence INTEGER NOT NULL,
  chain BLOB NOT NULL,
  digest BLOB NOT NULL
) STRICT;
CREATE TABLE checkpoint_tickets (
  ticket_key INTEGER PRIMARY KEY,
  state BLOB NOT NULL
) STRICT;
