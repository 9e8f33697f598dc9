import { setFlagsFromString } from 'node:v8'

/**
 * Whether V8 is to keep its heap small rather than to save time: about half the memory of a busy process for half as
 * much CPU again. For times when records go to disk, and memory is better left to whoever is needed to end that.
 */
export function setHeapEconomy(isOn: boolean): void {
  setFlagsFromString(isOn ? '--optimize-for-size' : '--no-optimize-for-size')
}
