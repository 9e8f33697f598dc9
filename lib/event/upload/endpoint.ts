/** Addresses that events are posted to. */
import { isLoopback } from '../../network/loopback.ts'
import type { Kind } from '../../process/option.ts'

/**
 * Reads an endpoint: a URL, or the bare name of a host, which means https. `http://` would carry the key in the clear
 * and is taken for this machine only. Yields it without a slash at its end.
 */
export const endpoint: Kind<string> = {
  placeholder: 'URL',
  read: value => {
    const text = value.includes('://') ? value : `https://${value}`
    const url = URL.canParse(text) ? new URL(text) : undefined
    if (!url || (url.protocol !== 'https:' && url.protocol !== 'http:') || url.hostname === '') {
      throw new Error('expected a URL such as https://api.sparkpost.com, or the name of a host')
    }
    if (url.username !== '' || url.password !== '') throw new Error('expected a URL without user name and password')
    if (url.hash !== '') throw new Error('expected a URL without #')
    if (url.protocol === 'http:' && !isLoopback(url.hostname)) {
      throw new Error(
        'expected https://: http:// is for this machine only (127.0.0.1, localhost), it would show the key',
      )
    }
    return text.replace(/\/+$/, '')
  },
}
