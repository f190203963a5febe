-- How often stored texts were changed in their place (`tasklight audit --clean`): hubs that keep some of them in memory see by it that they must read
-- them again.
ALTER TABLE store_identity ADD COLUMN cleanings BIGINT NOT NULL DEFAULT 0;

-- The same of one task's runs: a hub that remembers them sees it in the statement that writes.
ALTER TABLE tasks ADD COLUMN cleanings BIGINT NOT NULL DEFAULT 0;
