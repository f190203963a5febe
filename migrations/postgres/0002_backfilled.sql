-- Runs that were recorded after they had ended, such as by `tasklight import`: when the hub took what they did says nothing about them, so no silence
-- or duration is derived from it.
ALTER TABLE invocations ADD COLUMN backfilled BOOLEAN NOT NULL DEFAULT false;
