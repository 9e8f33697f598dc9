/** The picture that tells of an open. */

/**
 * Takes no place and says nothing: out of the flow where styles count, one dot high where they do not, with an empty
 * `alt` so that a picture that is not loaded shows no frame. The `span` keeps it apart from the author's own elements.
 *
 * @param link of characters that need no escape
 */
export function htmlPixel(link: string): string {
  return `<span><img src="${link}" alt="" width="1" height="1" border="0" style="display:block;position:absolute;width:1px;height:1px;margin:-1px 0 0;padding:0;border:0"></span>`
}

/** The same for AMP, where only https counts. */
export function ampPixel(link: string): string {
  return `<span><amp-pixel src="${link}" layout="nodisplay"></amp-pixel></span>`
}
