-- Rows of runs change every ten seconds while they work: with half of each page free, as in `tasks`, their new versions stay on their page however many
-- runs work at once.
ALTER TABLE invocations SET (fillfactor = 50);
