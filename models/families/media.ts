/**
 * What a family of models learns from and makes, by the id that manifests name it by: known here without loading anything of the
 * family, for a page that has to find its words before its model. A test holds it to what the families say.
 */
export type Medium = 'text' | 'pictures'

const PICTURE_FAMILIES: readonly string[] = ['emoji-dit']

export const mediumOf = (family: string): Medium => (PICTURE_FAMILIES.includes(family) ? 'pictures' : 'text')
