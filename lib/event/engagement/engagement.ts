/**
 * The tracker's decision: what a request is answered, and which event it means. Without input or output: keys, clock,
 * policy and what was seen before are handed in.
 */
import { randomEventId } from '../event-id.ts'
import type { EngagementEvent, Geo, Verdict } from '../event.ts'
import type { Writable } from './writable.ts'
import type { LinkKeys } from '../../link/keys.ts'
import { decodeLegacyToken } from '../../link/legacy-token.ts'
import { trapLinkName, type TrackedLink } from '../../link/link.ts'
import { actions, verifyToken } from '../../link/token.ts'
import {
  badRequest,
  methodNotAllowed,
  notFound,
  pathTooLong,
  pixel,
  redirect,
  robots,
  tooLarge,
  type Answer,
} from './answer.ts'
import type { NetworkList } from '../../network/network-list.ts'
import { clientAddress, keptAddress, type AddressDetail } from './client-address.ts'
import { headerLocation } from './header-location.ts'
import { Landings } from './landings.ts'
import { confirmPage, revokedPage, unsubscribedPage, unsubscribePage } from './page.ts'
import { isPixel } from './pixel-action.ts'
import { asksForRobots, pathBytesMax, tokenOf } from './request-path.ts'
import { nothingSeen, Traces, type Seen } from './traces.ts'
import { formBytesMax, isOneClick } from './unsubscribe-form.ts'
import { UserAgents } from './user-agent.ts'
import { userAgentText } from './user-agent-text.ts'
import { judge } from './verdict.ts'

/** A request as it arrived, header values as node:http joins them. */
export interface TrackerRequest {
  readonly method: string
  /** Request target. */
  readonly target: string
  readonly userAgent: string | undefined
  readonly forwardedFor: string | undefined
  readonly realIp: string | undefined
  readonly contentType: string | undefined
  /** Of a POST; at most one byte beyond `formBytesMax`, for more is not read. */
  readonly body: Buffer
  /** Address of the connection's other end. */
  readonly peer: string | undefined
}

export interface TrackerPolicy {
  /** Path of the tracking URL, '' when it has none. */
  readonly pathPrefix: string
  readonly trustedProxies: NetworkList
  readonly addressDetail: AddressDetail
  /** What becomes of the unsigned links of the older format. */
  readonly legacyLinks: 'off' | 'confirm' | 'allow'
  /** Hosts that such links may lead to without a question, lower case; `*.example.com` for those below. */
  readonly legacyHosts: readonly string[]
  readonly earlyClickMs: number
  readonly geoOf: ((address: string) => Geo | undefined) | undefined
  /** Undefined when the list of Apple's relays is not at hand. */
  readonly isAppleRelay: ((address: string) => boolean) | undefined
}

/** What the process remembers between requests; nothing of it changes an answer. */
export class TrackerMemory {
  readonly traces = new Traces()
  readonly userAgents = new UserAgents()
  readonly landings = new Landings()
}

export interface Decision {
  readonly answer: Answer
  /** To be in safe hands before the answer is sent. */
  readonly event?: EngagementEvent
  /** Key that the link was signed with, when it names one. */
  readonly keyId?: string
  /** Why a link was not followed, for metrics and access log. */
  readonly refused?: Refusal
}

export const refusals = ['path', 'malformed', 'unknown-key', 'revoked', 'forged', 'target', 'method', 'form'] as const
export type Refusal = (typeof refusals)[number]

/** A request and all that it is looked at with. */
interface Asked {
  readonly request: TrackerRequest
  readonly now: number
  readonly policy: TrackerPolicy
  readonly memory: TrackerMemory
}

const readMethods = 'GET, HEAD'
const onlyRead: Decision = { answer: methodNotAllowed(readMethods), refused: 'method' }

/** Answers a request. Total: there is no request that it throws for. */
export function decide(
  request: TrackerRequest,
  now: number,
  keys: LinkKeys,
  policy: TrackerPolicy,
  memory: TrackerMemory,
): Decision {
  const { method, target } = request
  const reads = method === 'GET' || method === 'HEAD'
  if (!reads && method !== 'POST') return { answer: methodNotAllowed(`${readMethods}, POST`), refused: 'method' }
  if (target.length > pathBytesMax) return { answer: pathTooLong, refused: 'path' }
  const token = tokenOf(target, policy.pathPrefix)
  if (token === undefined) {
    if (!asksForRobots(target)) return { answer: notFound, refused: 'path' }
    return reads ? { answer: robots } : onlyRead
  }
  const verdict = verifyToken(token, keys)
  const asked: Asked = { request, now, policy, memory }
  if (verdict.ok) return follow(verdict.link, verdict.keyId, asked)
  // Only what is not a link of ours at all may be one of the older format.
  if (verdict.reason === 'malformed' && policy.legacyLinks !== 'off') {
    const legacy = decodeLegacyToken(token)
    if (legacy) return followLegacy(legacy, asked)
  }
  return {
    answer: verdict.reason === 'revoked' ? revokedPage : notFound,
    refused: verdict.reason,
    ...(verdict.keyId !== undefined && { keyId: verdict.keyId }),
  }
}

function follow(link: TrackedLink, keyId: string, asked: Asked): Decision {
  const { now, memory } = asked
  const { method } = asked.request
  if (link.action === 'list_unsubscribe') return { ...unsubscribe(link, asked), keyId }
  if (method === 'POST') return { ...onlyRead, keyId }
  const click = !isPixel(link.action)
  const landing = click && link.url !== undefined ? memory.landings.of(link.url) : undefined
  const answer = click ? landing?.answer : pixel
  if (answer === undefined) return { answer: notFound, refused: 'target', keyId }
  if (method === 'HEAD') {
    // No engagement: browsers and mail programs don't ask this way. What asked is remembered as a machine.
    memory.traces.noteHead(link.messageId, now)
    return { answer, keyId }
  }
  const trap = link.linkName === trapLinkName
  const number = (landing?.checksum ?? 0) ^ actions.indexOf(link.action)
  const seen = memory.traces.note(link.messageId, number, click, now, trap)
  return { answer, event: judgedEvent(link, asked, seen, trap), keyId }
}

/** RFC 8058: only the POST unsubscribes. Mail services send it from machines, so nothing is judged. */
function unsubscribe(link: TrackedLink, asked: Asked): Decision {
  const { request } = asked
  if (request.method !== 'POST') return { answer: unsubscribePage }
  if (request.body.length > formBytesMax) return { answer: tooLarge, refused: 'form' }
  if (!isOneClick(request.contentType, request.body)) return { answer: badRequest, refused: 'form' }
  return { answer: unsubscribedPage, event: eventOf(link, asked, userAgentText(request.userAgent)) }
}

/**
 * Anybody can make a link of the older format. It is followed without a question only to hosts that the operator named;
 * the page for all others holds an ordinary link, so that this server never forwards to a stranger's choice.
 */
function followLegacy(link: TrackedLink, asked: Asked): Decision {
  const { request, policy } = asked
  if (request.method === 'POST') return onlyRead
  let answer = pixel
  if (!isPixel(link.action)) {
    const location = link.url === undefined ? undefined : headerLocation(link.url)
    const target = location !== undefined && URL.canParse(location) ? new URL(location) : undefined
    if (location === undefined || target === undefined) return { answer: notFound, refused: 'target' }
    const allowed =
      policy.legacyLinks === 'allow' &&
      target.username === '' &&
      target.password === '' &&
      // Where browsers see a slash others see part of a name: who reads it otherwise must not end up elsewhere.
      !location.includes('\\') &&
      isListedHost(target.hostname, policy.legacyHosts)
    answer = allowed ? redirect(location) : confirmPage(target.host, location)
  }
  if (request.method === 'HEAD') return { answer }
  // What was seen before is left alone: a stranger must not be able to cast doubt on a message's signed links.
  return { answer, event: judgedEvent(link, asked, nothingSeen, false) }
}

/** The event with its verdict. */
function judgedEvent(link: TrackedLink, asked: Asked, seen: Seen, trap: boolean): EngagementEvent {
  const { request, now, policy, memory } = asked
  const userAgent = memory.userAgents.read(request.userAgent)
  const verdict = judge({
    action: link.action,
    messageId: link.messageId,
    at: now,
    userAgent,
    seen,
    trap,
    fromAppleRelay: relayed(userAgent.machine === 'apple-mpp', request, policy),
    earlyClickMs: policy.earlyClickMs,
  })
  return eventOf(link, asked, userAgent.text, verdict)
}

/** Whether a host is on the list: by its name, or below `*.name`. */
function isListedHost(host: string, list: readonly string[]): boolean {
  return list.some(entry => (entry.startsWith('*.') ? host.endsWith(entry.slice(1)) : host === entry))
}

function addressOf(request: TrackerRequest, policy: TrackerPolicy): string | undefined {
  return clientAddress(request.peer, request.forwardedFor, request.realIp, policy.trustedProxies)
}

/** The list is large, so it is asked only where its answer matters. */
function relayed(matters: boolean, request: TrackerRequest, policy: TrackerPolicy): boolean | undefined {
  if (!matters || policy.isAppleRelay === undefined) return undefined
  const address = addressOf(request, policy)
  return address !== undefined && policy.isAppleRelay(address)
}

function eventOf(
  link: TrackedLink,
  { request, now, policy }: Asked,
  userAgent: string | undefined,
  verdict?: Verdict,
): EngagementEvent {
  const ip = keptAddress(addressOf(request, policy), policy.addressDetail)
  // Looked up by what is kept of the address, so that the place is not known better than the address.
  const geo = ip === undefined ? undefined : policy.geoOf?.(ip)
  // Member by member: runs for every request, and a copy of parts costs several times as much.
  const event: Writable<EngagementEvent> = {
    id: randomEventId(),
    type: link.action,
    messageId: link.messageId,
    at: now,
  }
  if (ip !== undefined) event.ip = ip
  if (userAgent !== undefined) event.userAgent = userAgent
  if (link.url !== undefined) event.url = link.url
  if (link.linkName !== undefined) event.linkName = link.linkName
  if (verdict) event.verdict = verdict
  if (geo) event.geo = geo
  return event
}
