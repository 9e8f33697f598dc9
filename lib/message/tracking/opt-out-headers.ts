/**
 * Headers by which the generator restricts tracking of one message, in the spellings of the services that people come
 * from. They can only switch off what the configuration switches on, and are removed on the way, as those services do;
 * where the configuration switches on nothing they stay.
 */
import type { HeaderBlock } from '../mime/header-block.ts'
import type { TrackingSwitches } from './tracking-plan.ts'

type Restriction = Partial<TrackingSwitches>

const nothing: Restriction = { trackOpen: false, trackInitialOpen: false, trackClick: false, trackText: false }
const noOpens: Restriction = { trackOpen: false, trackInitialOpen: false }
const noClicks: Restriction = { trackClick: false, trackText: false }

const readers: ReadonlyMap<string, (value: string) => Restriction> = new Map(
  Object.entries({
    /** Ours: `none`, or what is allowed: `opens`, `initial-opens`, `clicks`, `text`, `all`. */
    'x-track': value => {
      const words = new Set(
        value
          .toLowerCase()
          .split(/[\s,;]+/)
          .filter(word => word !== ''),
      )
      if (words.size === 0 || ['all', 'yes', 'true', 'on', '1'].some(word => words.has(word))) return {}
      const opens = words.has('opens') || words.has('open')
      return {
        ...(!opens && { trackOpen: false }),
        ...(!opens && !words.has('initial-opens') && { trackInitialOpen: false }),
        ...(!words.has('clicks') && !words.has('click') && noClicks),
      }
    },
    'x-no-track': value => (isOff(value) ? {} : nothing),
    'x-mailgun-track': value => (isOff(value) ? nothing : {}),
    'x-mailgun-track-opens': value => (isOff(value) ? noOpens : {}),
    'x-mailgun-track-clicks': value => {
      if (isOff(value)) return noClicks
      return value.toLowerCase() === 'htmlonly' ? { trackText: false } : {}
    },
    'x-pm-trackopens': value => (isOff(value) ? noOpens : {}),
    'x-pm-tracklinks': value => {
      switch (value.toLowerCase()) {
        case 'none':
        case 'false':
          return noClicks
        case 'htmlonly':
          return { trackText: false }
        case 'textonly':
          return { trackClick: false }
        default:
          return {}
      }
    },
    'x-msys-api': readMsysOptions,
  }),
)

export interface OptOuts {
  readonly switches: TrackingSwitches
  /** Whether any of these headers is there. */
  readonly found: boolean
}

/** The switches that remain on. */
export function applyOptOutHeaders(header: HeaderBlock, wanted: TrackingSwitches): OptOuts {
  let { trackOpen, trackInitialOpen, trackClick, trackText } = wanted
  let found = false
  for (const field of header.fields) {
    const read = readers.get(field.name)
    if (!read) continue
    found = true
    const restriction = read(header.valueOf(field))
    trackOpen &&= restriction.trackOpen ?? true
    trackInitialOpen &&= restriction.trackInitialOpen ?? true
    trackClick &&= restriction.trackClick ?? true
    trackText &&= restriction.trackText ?? true
  }
  return { switches: { trackOpen, trackInitialOpen, trackClick, trackText }, found }
}

/** Whether a header of this name (lower case) is removed on the way. */
export function isOptOutHeader(name: string): boolean {
  return readers.has(name)
}

function isOff(value: string): boolean {
  return /^(?:no|off|false|0|none)$/i.test(value)
}

/** SparkPost's and Momentum's JSON; only `options.open_tracking`, `click_tracking` and `initial_open` are looked at. */
function readMsysOptions(value: string): Restriction {
  let options: unknown
  try {
    const document: unknown = JSON.parse(Buffer.from(value, 'latin1').toString())
    options = typeof document === 'object' && document !== null && 'options' in document ? document.options : undefined
  } catch {
    return {}
  }
  if (typeof options !== 'object' || options === null) return {}
  const { open_tracking, click_tracking, initial_open } = options as Record<string, unknown>
  return {
    ...(open_tracking === false && noOpens),
    ...(click_tracking === false && noClicks),
    ...(initial_open === false && { trackInitialOpen: false }),
  }
}
