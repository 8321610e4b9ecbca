/** More than this of a segment is not kept for a move: it goes to the primary first, bytes. */
export const maxMovableBytes = 1024 * 1024
