/**
 * The ledger's tables, and the steps from each older version of them to the next. A step never changes once
 * released: a data folder of any age is brought up to date by running those it lacks.
 */
import type Database from 'libsql'
import { ProtocolError } from '../protocol/errors.ts'

const STEPS: readonly string[] = [
  `
  CREATE TABLE rooms (
    room TEXT PRIMARY KEY, manifest TEXT NOT NULL, created_at TEXT NOT NULL, closed_at TEXT
  ) STRICT;
  CREATE TABLE updates (
    room TEXT NOT NULL REFERENCES rooms, digest TEXT NOT NULL, contribution INTEGER NOT NULL,
    bytes INTEGER NOT NULL, examples INTEGER NOT NULL, accepted_at TEXT NOT NULL,
    PRIMARY KEY (room, digest), UNIQUE (room, contribution)
  ) STRICT;
  CREATE TABLE receipts (
    room TEXT NOT NULL, participant TEXT NOT NULL, digest TEXT NOT NULL,
    PRIMARY KEY (room, participant), FOREIGN KEY (room, digest) REFERENCES updates (room, digest)
  ) STRICT;
  CREATE TABLE versions (
    room TEXT NOT NULL REFERENCES rooms, version INTEGER NOT NULL, digest TEXT NOT NULL,
    contributions INTEGER NOT NULL, created_at TEXT NOT NULL, files TEXT NOT NULL,
    PRIMARY KEY (room, version)
  ) STRICT;
  CREATE TABLE secrets (name TEXT PRIMARY KEY, secret_hex TEXT NOT NULL) STRICT;
  `,
  // Withdrawal: a row stays as a tombstone, and the same update may come again under a new number. A version names
  // its updates: no longer always the first so many.
  `
  ALTER TABLE rooms ADD COLUMN join_code TEXT;
  ALTER TABLE rooms ADD COLUMN joining_closed_at TEXT;
  CREATE TABLE contributions (
    room TEXT NOT NULL REFERENCES rooms, contribution INTEGER NOT NULL, digest TEXT NOT NULL,
    bytes INTEGER NOT NULL, examples INTEGER NOT NULL, norm REAL, accepted_at TEXT NOT NULL,
    approved INTEGER NOT NULL DEFAULT 1, withdrawn_at TEXT,
    PRIMARY KEY (room, contribution)
  ) STRICT;
  CREATE UNIQUE INDEX present_contributions ON contributions (room, digest) WHERE withdrawn_at IS NULL;
  INSERT INTO contributions (room, contribution, digest, bytes, examples, accepted_at)
    SELECT room, contribution, digest, bytes, examples, accepted_at FROM updates;
  CREATE TABLE senders (
    room TEXT NOT NULL, participant TEXT NOT NULL, contribution INTEGER NOT NULL,
    PRIMARY KEY (room, participant), FOREIGN KEY (room, contribution) REFERENCES contributions (room, contribution)
  ) STRICT;
  INSERT INTO senders (room, participant, contribution)
    SELECT receipts.room, participant, contribution FROM receipts JOIN updates USING (room, digest);
  DROP TABLE receipts;
  ALTER TABLE versions ADD COLUMN updates TEXT NOT NULL DEFAULT '[]';
  ALTER TABLE versions ADD COLUMN retired INTEGER NOT NULL DEFAULT 0;
  UPDATE versions SET updates = (
    SELECT json_group_array(digest) FROM (
      SELECT digest FROM updates WHERE updates.room = versions.room AND contribution <= versions.contributions
      ORDER BY digest
    )
  );
  DROP TABLE updates;
  CREATE TABLE audit (
    room TEXT NOT NULL REFERENCES rooms, sequence INTEGER NOT NULL, hash TEXT NOT NULL, line TEXT NOT NULL,
    PRIMARY KEY (room, sequence)
  ) STRICT;
  `,
  // A private room's one release: of which updates, and the key of its noise until it is published.
  `
  CREATE TABLE releases (
    room TEXT PRIMARY KEY REFERENCES rooms, updates TEXT NOT NULL, noise_key_hex TEXT, drawn_at TEXT NOT NULL
  ) STRICT;
  `,
  // Rounds: a contribution counts in one, and a participant has one contribution a round.
  `
  ALTER TABLE contributions ADD COLUMN round INTEGER NOT NULL DEFAULT 1;
  CREATE TABLE senders_of_rounds (
    room TEXT NOT NULL, participant TEXT NOT NULL, round INTEGER NOT NULL, contribution INTEGER NOT NULL,
    PRIMARY KEY (room, participant, round),
    FOREIGN KEY (room, contribution) REFERENCES contributions (room, contribution)
  ) STRICT;
  INSERT INTO senders_of_rounds (room, participant, round, contribution)
    SELECT room, participant, 1, contribution FROM senders;
  DROP TABLE senders;
  ALTER TABLE senders_of_rounds RENAME TO senders;
  CREATE TABLE rounds (
    room TEXT NOT NULL REFERENCES rooms, round INTEGER NOT NULL, opened_at TEXT NOT NULL, clock_from TEXT,
    closed_at TEXT, PRIMARY KEY (room, round)
  ) STRICT;
  `,
  // Candidates that the host's measurement held back, by merged digest.
  `
  CREATE TABLE held_back (
    room TEXT NOT NULL REFERENCES rooms, digest TEXT NOT NULL, base_loss REAL NOT NULL, loss REAL NOT NULL,
    PRIMARY KEY (room, digest)
  ) STRICT;
  `,
  // Rooms that the host has deleted: their names stay taken.
  `
  CREATE TABLE deleted_rooms (
    sequence INTEGER PRIMARY KEY, room TEXT NOT NULL UNIQUE, hash TEXT NOT NULL, line TEXT NOT NULL
  ) STRICT;
  `,
]

/** Creates the tables or brings them up to date. Throws ProtocolError `store/newer`. */
export function migrate(database: Database.Database): void {
  const { user_version: from } = database.prepare('PRAGMA user_version').get() as { user_version: number }
  if (from > STEPS.length) throw new ProtocolError('store/newer')
  for (let step = from; step < STEPS.length; step++) {
    database.transaction(() => {
      database.exec(STEPS[step]!)
      database.exec(`PRAGMA user_version = ${step + 1}`)
    })()
  }
}
