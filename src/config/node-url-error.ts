/** Why a connection string can't be used. The text never contains the password. */
export class NodeUrlError extends Error {}
