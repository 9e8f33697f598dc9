import type { SmallHeap } from '../../process/small-heap.ts'

/** The heap of a process that follows logs: what is read dies young, and the map of queue ids lies outside. */
export const agentHeap: SmallHeap = {
  growthPercent: 10,
  triggerPercent: 25,
  withBuffers: true,
  nurseryMb: 2,
}
