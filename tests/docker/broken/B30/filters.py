from markupsafe import escape, soft_unicode


def title(text):
    return escape(soft_unicode(text).title())
