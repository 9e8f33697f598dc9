/** A plan for the wrapper whose links show what they stand for. */
import type { LinkRequest, TrackingPlan } from '../../lib/message/tracking/tracking-plan.ts'

const trackingUrl = 'https://track.example.com'

/** Opens and clicks on, everything else off, unless overridden. */
export function trackingPlan(overrides: Partial<TrackingPlan> = {}): TrackingPlan {
  return {
    trackOpen: true,
    trackInitialOpen: false,
    trackClick: true,
    trackText: false,
    dkimSigned: 'pass',
    trackingUrl,
    messageId: '0000123456789abcdef0',
    uuid: '3f2504e0-4f89-41d3-9a0c-0305e82c3301',
    linkFor: link => `${trackingUrl}/${Buffer.from(JSON.stringify(link)).toString('base64url')}`,
    ...overrides,
  }
}

/** What the tracking links in a decoded text stand for, in their order. */
export function trackedLinks(text: string): LinkRequest[] {
  return [...text.matchAll(/https:\/\/track\.example\.com\/([\w-]+)/g)].map(
    match => JSON.parse(Buffer.from(match[1] ?? '', 'base64url').toString()) as LinkRequest,
  )
}
