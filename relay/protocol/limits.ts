/**
 * Every bound of the protocol in one place, each with its reason. Both ends check against these before they
 * allocate anything; docs/protocol.md repeats them for authors of other clients.
 */

/** Raised when an older client could misread or be misread; a relay speaks exactly one version. */
export const PROTOCOL_VERSION = 1

/** Room names appear in URLs and folder names: short, and only characters that mean nothing to either. */
export const MAX_ROOM_NAME_CHARACTERS = 63

/** One chunk is one socket message held in memory a client: 128 KiB keeps a LAN busy and a stall small. */
export const DEFAULT_CHUNK_BYTES = 128 * 1024

/** A manifest may ask for larger chunks, but a thousand clients' chunks must fit a small relay's memory. */
export const MAX_CHUNK_BYTES = 512 * 1024

/** Room for the event's name, the offset and the framing around a chunk. */
export const MESSAGE_OVERHEAD_BYTES = 4 * 1024

/** socket.io's maxHttpBufferSize: a longer message closes the connection before it is buffered. */
export const MAX_MESSAGE_BYTES = MAX_CHUNK_BYTES + MESSAGE_OVERHEAD_BYTES

/**
 * The largest update a manifest may allow: a rank-64 adapter on every linear layer of a 7-billion-parameter
 * model is 160 MB in I8. The relay holds one update in memory while it checks it.
 */
export const MAX_UPDATE_BYTES = 256 * 1024 * 1024

/** A self-reported count weighs the mean, so it is capped; with MAX_CONTRIBUTIONS it bounds the merge's sums. */
export const MAX_EXAMPLES = 1000

/** Contributions in a room. With MAX_EXAMPLES and MAX_ABS_CHANGE the merge's sums stay exact in float64. */
export const MAX_CONTRIBUTIONS = 1024

/** Size of any single value x of a change: round(x * 2^24) * examples, summed over all, is then at most 2^47. */
export const MAX_ABS_CHANGE = 8

/** A manifest names each adapted layer: 80 layers of 7 projections take 70 KB; ten times that is an attack. */
export const MAX_MANIFEST_BYTES = 1024 * 1024

/** 128 layers of 32 adapted projections each; the largest open models have 126 layers of 7. */
export const MAX_ADAPTER_MODULES = 4096

/** Rank is the adapter's width; beyond 256 it is no longer a low-rank change and full weights are smaller. */
export const MAX_RANK = 256

/** A merge may have a higher rank than its updates; 65,536 is what a PEFT folder is read with here. */
export const MAX_PUBLISHED_RANK = 65_536

/** No linear layer of a published model is wider than 262,144 (vocabulary of the largest tokenizers). */
export const MAX_LAYER_WIDTH = 1 << 20

/** A base model's files: sharded 70B models have 30; more is not a model a tab loads. */
export const MAX_BASE_FILES = 64

/** Unfinished uploads a room keeps on disk at once; beyond it the longest idle one without a socket goes. */
export const MAX_OPEN_UPLOADS = 64

/** An unfinished upload nobody has continued for a day is not coming back. */
export const OPEN_UPLOAD_LIFETIME_MS = 24 * 60 * 60 * 1000

/** Messages of one socket waiting to be handled. A correct client waits for each ack, so it has one. */
export const MAX_PENDING_MESSAGES = 4

/** Sockets at once: a large lecture; beyond it one relay's uplink, not its memory, is what is missing. */
export const MAX_SOCKETS = 2048

/** A socket that has not joined a room after this long is closed. */
export const JOIN_TIMEOUT_MS = 30_000

/** Versions listed in the join answer (the newest ones); the full list is at /api/rooms/ROOM/versions. */
export const MAX_VERSIONS_IN_JOIN = 32

/** Rooms of one relay: each holds a manifest and its versions in memory. */
export const MAX_ROOMS = 256

/** The paper compares one round with ten at most; a class has not the time for more than a hundred. */
export const MAX_ROUNDS = 100

/** Where each starts from the newest, every contribution is a round. */
export const MAX_ROUND_NUMBER = 1_000_000

/** Contributions are numbered as they come and numbers are not given twice: with withdrawals more than are counted. */
export const MAX_CONTRIBUTION_NUMBER = 1_000_000

/** Versions of a room: each contribution makes one at most, and so does each withdrawal. */
export const MAX_VERSION_NUMBER = 2 * MAX_CONTRIBUTION_NUMBER

/** A class types it from the projector; the limit of attempts, not the length, keeps guessers out. */
export const MAX_JOIN_CODE_CHARACTERS = 32

/** Between two reports of one participant's progress. */
export const PROGRESS_PAUSE_MS = 1_000

/** Refused updates that a room's audit log names; an attacker must not fill the disk with them. */
export const MAX_LOGGED_REFUSALS = 1_000

/** Participants that the host's console is told of at once: every contribution and every socket. */
export const MAX_PARTICIPANTS_IN_OVERVIEW = MAX_CONTRIBUTIONS + MAX_SOCKETS
