"""idvid.faces"""
