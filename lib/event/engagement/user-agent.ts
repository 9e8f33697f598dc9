/** What a User-Agent header alone tells of who sent it. */
import { parse as parseUserAgent } from 'bowser'
import { isbot } from 'isbot'
import { Recently } from '../../link/recently.ts'
import { userAgentBytesMax, userAgentText } from './user-agent-text.ts'

export interface UserAgent {
  /** As it is kept in events; absent when there was none. */
  readonly text?: string
  /** A rule of ours or of isbot's list that the text matches, in words for people. Undefined: it may be a human's. */
  readonly machine?: UserAgentRule
  /** `iPhone`, `iPad`, `Mac`; else `mobile`, `tablet`, `desktop`, `tv`. Of a proxy or a machine it is not known. */
  readonly device?: string
  /** `iOS 17.1`, `Windows 10`, `Android 14`. */
  readonly os?: string
}

export type UserAgentRule =
  | 'apple-mpp'
  | 'gmail-prefetch'
  | 'gmail-proxy'
  | 'yahoo-proxy'
  | 'no-user-agent'
  | 'known-bot'

/** What Apple's Mail Privacy Protection sends, and nothing after it. */
const appleMpp = 'Mozilla/5.0'

/** What Gmail sends when it fetches the images of a mail that nobody has opened: a Chrome and an Edge of 2015 at once. */
const gmailPrefetch =
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/42.0.2311.135 Safari/537.36 Edge/12.246 Mozilla/5.0'

/**
 * Mail programs that isbot's list takes for machines, since they name neither an engine nor a browser. The words of a
 * machine win over them.
 */
const mailProgram =
  /outlook|thunderbird|betterbird|^microsoft office|k-9|fairemail|aquamail|bluemail|\bspark\b|airmail|em ?client|evolution|kmail|geary|postbox|mailspring|canary|edison|superhuman|mailmate|claws|sylpheed|the bat|lotus-?notes|hcl-?notes|zimbra|email\.provider|yahoomobilemail|\bmail\/\d|protonmail|tutanota|nylas/i
const machineWords = /discovery|bot\b|crawl|spider|scan|preview|check|monitor|headless|https?:/i

function ruleOf(text: string): UserAgentRule | undefined {
  if (text === '') return 'no-user-agent'
  if (text === appleMpp) return 'apple-mpp'
  if (text === gmailPrefetch) return 'gmail-prefetch'
  if (text.includes('GoogleImageProxy')) return 'gmail-proxy'
  if (text.includes('YahooMailProxy')) return 'yahoo-proxy'
  if (isbot(text) && (!mailProgram.test(text) || machineWords.test(text))) return 'known-bot'
  return undefined
}

/** As bowser has it. */
interface Platform {
  readonly vendor?: string | undefined
  readonly model?: string | undefined
  readonly type?: string | undefined
}

function read(header: string | undefined): UserAgent {
  const text = userAgentText(header)
  const kept = text === undefined ? {} : { text }
  const machine = ruleOf(text ?? '')
  // What stands behind a proxy or a prefetch is not what the text describes.
  if (machine !== undefined || text === undefined) return { ...kept, ...(machine && { machine }) }
  try {
    const { os, platform } = parseUserAgent(text)
    const device = deviceOf(text, platform)
    // `Outlook-Android/2.0` tells the version of Outlook.
    const version = os.name === 'Windows' ? (os.versionName ?? os.version) : os.version
    const system = [os.name, text.startsWith('Outlook-') ? undefined : version]
    return {
      ...kept,
      ...(device && { device }),
      ...(os.name && { os: system.filter(Boolean).join(' ') }),
    }
  } catch {
    return kept
  }
}

function deviceOf(text: string, { vendor, model, type }: Platform): string | undefined {
  if (vendor === 'Apple') {
    const known = appleModels.find(name => name.toLowerCase() === model?.toLowerCase())
    return known ?? model ?? (type === 'desktop' ? 'Mac' : type)
  }
  // Android's own HTTP client does not say which it is, and is taken for a tablet. Mail programs use it.
  return type === 'bot' || text.startsWith('Dalvik/') ? undefined : type
}

const appleModels = ['iPhone', 'iPad', 'iPod'] as const

/** Reads User-Agent headers; remembers those read last, for there are few of them and reading takes time. */
export class UserAgents {
  /** At most 2,048 headers of 512 bytes. */
  readonly #read = new Recently<UserAgent>(1024)

  /** @param header as node:http gives it; undefined when there was none */
  read(header: string | undefined): UserAgent {
    const key = header ?? ''
    const known = this.#read.get(key)
    if (known) return known
    const userAgent = read(header)
    if (key.length <= userAgentBytesMax) this.#read.set(key, userAgent)
    return userAgent
  }
}
