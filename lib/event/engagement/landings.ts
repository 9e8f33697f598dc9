/** Where clicks lead: the redirect of a URL, ready to be sent. */
import { crc32 } from 'node:zlib'
import { Recently } from '../../link/recently.ts'
import { redirect, type Answer } from './answer.ts'
import { headerLocation } from './header-location.ts'

export interface Landing {
  /** Undefined for a URL that must not be followed. */
  readonly answer: Answer | undefined
  /** Of the URL, to tell the links of a message apart. Two that share one would be taken for one: once in 2^32. */
  readonly checksum: number
}

/** Longest URL whose redirect is remembered, in code units. */
const rememberedUnitsMax = 1024

/** Makes redirects, and remembers those asked for last: the recipients of a campaign share them. */
export class Landings {
  /** At most 1,024 of up to some 10 KB. */
  readonly #recent = new Recently<Landing>(512)

  of(url: string): Landing {
    if (url.length > rememberedUnitsMax) return landingOf(url)
    let landing = this.#recent.get(url)
    if (!landing) this.#recent.set(url, (landing = landingOf(url)))
    return landing
  }
}

function landingOf(url: string): Landing {
  const location = headerLocation(url)
  return { answer: location === undefined ? undefined : redirect(location), checksum: crc32(url) }
}
