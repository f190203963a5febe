-- How often stored texts were changed in their place (`tasklight audit --clean`): hubs that keep some of them in memory see by it that they must read
-- them again.
ALTER TABLE store_identity ADD COLUMN cleanings INTEGER NOT NULL DEFAULT 0;
