/** A message, wrapped. */
import { defaultLimits, type WrapLimits } from '../../lib/message/tracking/limits.ts'
import type { TrackingPlan } from '../../lib/message/tracking/tracking-plan.ts'
import { MessageWrapper } from '../../lib/message/tracking/wrap-message.ts'
import type { WrapReport } from '../../lib/message/tracking/wrap-report.ts'
import { trackingPlan } from './tracking-plan.ts'

export interface Wrapped {
  readonly bytes: Buffer
  /** One character a byte. */
  readonly text: string
  readonly report: WrapReport
}

export interface WrapOptions {
  readonly plan?: Partial<TrackingPlan>
  readonly limits?: Partial<WrapLimits>
  /** Places where the message is cut. */
  readonly cuts?: readonly number[]
}

/** @param message its bytes, or text with `\n` for line ends */
export function wrapped(message: Buffer | string, options: WrapOptions = {}): Wrapped {
  const bytes = typeof message === 'string' ? Buffer.from(message.replaceAll('\n', '\r\n')) : message
  const wrapper = new MessageWrapper(() => trackingPlan(options.plan), { ...defaultLimits, ...options.limits })
  const out: Buffer[] = []
  let from = 0
  for (const cut of [...(options.cuts ?? []), bytes.length]) {
    // A copy, so that a wrapper that reads beyond its chunk is found out.
    out.push(...wrapper.write(Buffer.from(bytes.subarray(from, cut))))
    from = cut
  }
  const result = Buffer.concat([...out, ...wrapper.end()])
  return { bytes: result, text: result.toString('latin1'), report: wrapper.report }
}
