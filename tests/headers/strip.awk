# Take comments and the insides of string and character constants out of C, keeping the lines.
# SPDX-License-Identifier: GPL-3.0-or-later
FNR == 1 { in_comment = 0 }
{
    out = ""
    rest = $0
    while (rest != "") {
        if (in_comment) {
            end = index(rest, "*/")
            if (!end) break
            rest = substr(rest, end + 2)
            in_comment = 0
            out = out " "
            continue
        }
        start = match(rest, /\/\*|\/\/|"|'/)
        if (!start) {
            out = out rest
            break
        }
        mark = substr(rest, start, RLENGTH)
        out = out substr(rest, 1, start - 1)
        rest = substr(rest, start + RLENGTH)
        if (mark == "/*") {
            in_comment = 1
        } else if (mark == "//") {
            break
        } else {
            # An include's file name is wanted.
            include = out ~ /^[ \t]*#[ \t]*include[ \t]*$/
            text = ""
            while (rest != "") {
                c = substr(rest, 1, 1)
                rest = substr(rest, c == "\\" ? 3 : 2)
                if (c == mark) break
                text = text c
            }
            out = out mark (include ? text : "") mark
        }
    }
    if (numbered) print FILENAME ":" FNR ":" out
    else print out
}
