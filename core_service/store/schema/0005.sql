-- An id of a ticket is its tenant's own: that somebody else has it already says nothing to anyone.
DROP INDEX tickets_by_id;
CREATE UNIQUE INDEX tickets_by_id ON tickets (ticket_id, tenant);
