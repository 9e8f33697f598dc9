/** Which engagements are seen by an image being fetched. */
import type { EngagementType } from '../event.ts'

const pixels: ReadonlySet<EngagementType> = new Set(['open', 'initial_open', 'amp_open', 'amp_initial_open'])

/** Whether the link is a pixel's; else it is one that people follow. */
export function isPixel(action: EngagementType): boolean {
  return pixels.has(action)
}
