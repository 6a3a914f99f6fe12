-- A key names the question that was asked last under it: a later run of the ticket may ask again what
-- was withdrawn before.
DROP INDEX questions_by_asker_key;
CREATE INDEX questions_by_asker_key ON questions (ticket_key, asker_key) WHERE asker_key <> '';

-- An answer that named no question and was refused: as of which position it was judged. Its row has no
-- response.
ALTER TABLE requests ADD COLUMN judged_as_of INTEGER;
