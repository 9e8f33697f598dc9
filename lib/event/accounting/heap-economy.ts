import { setFlagsFromString } from 'node:v8'

/**
 * Whether V8 is to keep its heap small rather than to save time: about half the memory of a busy process for half as
 * much CPU again. For times when records go to disk, and memory is better left to whoever is needed to end that.
 * Unlike the sizes of the heap, V8 looks at this each time that it decides how far to grow.
 */
export function setHeapEconomy(isOn: boolean): void {
  setFlagsFromString(isOn ? '--optimize-for-size' : '--no-optimize-for-size')
}
