/** No process of a server has such an id: Linux counts up to 2²² (PID_MAX_LIMIT). */
export const firstOwnProcessId = 0x400000

/** May the process id out of BackendKeyData be one that a pgsplit has given? */
export function mayBeOwnProcessId(processId: number): boolean {
  return processId >= firstOwnProcessId
}
