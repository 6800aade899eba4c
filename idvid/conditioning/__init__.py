"""idvid.conditioning"""
